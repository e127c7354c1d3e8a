"""The card of Kantata OX (Mavenlink)."""

from datetime import timedelta

from canonical.project import CancelProject, OpenProject
from system_apis.connector import Connector, Limit, Once, Operation, Resource
from system_apis.kantata import projects
from system_apis.kantata.client import KantataClient
from system_apis.kantata.failures import FAILURES
from system_apis.kantata.settings import KantataSettings

_VENDOR_TIME_OUT = timedelta(minutes=3)  # Kantata works on a request for up to three minutes, whether or not somebody waits

KANTATA = Connector(
    name="kantata",
    title="Kantata OX",
    settings=KantataSettings,
    client=KantataClient,
    failures=FAILURES,
    limit=Limit(in_flight_max=4, per_minute_max=120),  # Kantata publishes none; workspaces have a tighter one of their own
    does={
        OpenProject: Operation(projects.open_project, once=Once.LOCK_AND_PROBE, find=projects.find_open, settles_in=_VENDOR_TIME_OUT),
        CancelProject: Operation(projects.cancel, once=Once.LOCK_AND_PROBE, find=projects.find_cancelled, settles_in=_VENDOR_TIME_OUT),
    },
    resources={"projects": Resource(post=OpenProject)},
)
