"""The language knows the machinery."""

import runtime.clock
