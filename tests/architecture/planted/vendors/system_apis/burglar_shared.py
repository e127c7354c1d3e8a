"""The shared module that knows a vendor."""

import system_apis.salesforce.connector
