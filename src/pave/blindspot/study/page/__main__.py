"""``python -m pave.blindspot.study.page studies docs/study.md`` writes the page of the study anew."""

from __future__ import annotations

import sys
from pathlib import Path

from pave.quiet import quieten_logging


def main(studies: Path, page: Path) -> None:
    """Write the page from the plans and results of a folder."""
    quieten_logging()
    from pave.blindspot.study.page.write import write_page

    write_page(studies, page)


main(*map(Path, sys.argv[1:]))
