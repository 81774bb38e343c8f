"""`python -m spherecorr`: the same as the command `spherecorr`."""

import sys

from spherecorr.cli import main

sys.exit(main())
