"""Serves a GGUF model on a free port of loopback, in the shape of OpenAI's API, until standard input ends.

usage: serve.py MODEL.gguf
Prints its address on a line that begins with "listening on".
"""
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames = ["127.0.0.1"]
params.port = 0
params.n_ctx = 4096
params.n_parallel = 1
params.n_gpu_layers = 0
params.verbosity = 0
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
sys.stdin.read()
