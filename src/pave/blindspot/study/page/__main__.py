"""``python -m pave.blindspot.study.page studies docs/study.md`` writes the page of the study anew."""

from __future__ import annotations

import sys
from pathlib import Path

from pave.blindspot.study.page.write import write_page

write_page(Path(sys.argv[1]), Path(sys.argv[2]))
