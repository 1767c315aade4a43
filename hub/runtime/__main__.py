"""``python -m hub.runtime``: the same as ``hub``, for processes that start others."""

from hub.runtime.program import main

raise SystemExit(main())
