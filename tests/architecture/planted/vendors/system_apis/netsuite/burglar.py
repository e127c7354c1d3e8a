"""One vendor borrows from another by way of a shared module."""

import system_apis.burglar_shared
