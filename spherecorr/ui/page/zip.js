// A ZIP archive of files that are stored as they are.
const CRC = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

// files: [[name, Uint8Array]]; answers a Blob.
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, bytes] of files) {
    const title = new TextEncoder().encode(name);
    const common = [20, 0x0800, 0, 0, 0x21]; // version, names in UTF-8, stored, and the first day of DOS time
    const sums = [crc32(bytes), bytes.length, bytes.length];
    const local = record([0x04034b50, 4], ...common.map((value) => [value, 2]), ...sums.map((value) => [value, 4]), [title.length, 2], [0, 2]);
    parts.push(local, title, bytes);
    directory.push(
      record([0x02014b50, 4], [20, 2], ...common.map((value) => [value, 2]), ...sums.map((value) => [value, 4]), [title.length, 2],
        [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]),
      title,
    );
    offset += local.length + title.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

// Little-endian numbers of so many bytes each.
function record(...fields) {
  return Uint8Array.from(fields.flatMap(([value, bytes]) => Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 255)));
}
