// The binary files of Python's `payload.py`: features and surface points of one image.
import { Framing } from "./framing.js";

const KEPT = 8; // files that are held, so that a swap or another sphere fetches nothing twice

const held = new Map(); // path -> promise

export function fileUrl(path) {
  return new URL(`gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`, document.baseURI).href;
}

// {framing, channels, vectors: Float32Array [cells * channels]}, the dot product of two cells' vectors is their similarity.
export function loadFeatures(path) {
  return hold(path, (file) => {
    const { framing: described, channels } = file.header;
    const framing = new Framing(described);
    const scale = file.take(Float32Array, framing.count);
    const values = file.take(Int16Array, framing.count * channels);
    const vectors = new Float32Array(values.length);
    for (let cell = 0, i = 0; cell < framing.count; cell++)
      for (const end = i + channels; i < end; i++) vectors[i] = values[i] * scale[cell];
    return { framing, channels, vectors };
  });
}

// {dim, points, probability, content, subject} of so many cells; `points` and `probability` may be null.
export function loadSurface(path, count) {
  return hold(path, (file) => {
    const { dim, probability } = file.header;
    return {
      dim,
      points: dim ? file.take(Float32Array, count * dim) : null,
      probability: probability ? file.take(Float32Array, count) : null,
      content: file.take(Uint8Array, count),
      subject: file.take(Uint8Array, count),
    };
  });
}

function hold(path, decode) {
  if (!held.has(path)) {
    const loading = download(path).then(decode);
    loading.catch(() => held.delete(path));
    held.set(path, loading);
    for (const old of [...held.keys()].slice(0, Math.max(0, held.size - KEPT))) held.delete(old);
  }
  return held.get(path);
}

async function download(path) {
  const answer = await fetch(fileUrl(path));
  if (!answer.ok) throw new Error("The server no longer holds this pair. Choose it again.");
  const buffer = await answer.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  let at = 4 + length;
  return {
    header: JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))),
    take(Type, count) {
      const bytes = count * Type.BYTES_PER_ELEMENT;
      const values = new Type(buffer.slice(at, at + bytes)); // a copy begins where its type may begin
      at += bytes;
      return values;
    },
  };
}
