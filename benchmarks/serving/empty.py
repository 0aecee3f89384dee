"""The least a Starlette endpoint can do, on the same HTTP server: the reference of the table."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route


async def answer(request):
    return Response(b"{}", media_type="application/json")


app = Starlette(routes=[Route("/score", answer, methods=["POST"])])

if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(app, port=port, log_level="warning", access_log=False, server_header=False)
