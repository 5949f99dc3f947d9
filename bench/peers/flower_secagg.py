"""Times a round of Flower's SecAgg+ with all parties in this process.

    python flower_secagg.py D [USERS]

Flower's own workflow of the server and its own mod of the clients, one after another and without a network, so that nothing is counted
but their work: no Ray, no gRPC, no serialisation of messages. Vectors of D numbers 0.5, `num_shares=1.0`, `reconstruction_threshold=0.67`,
the rest as Flower has it. Prints one line of JSON: CPU milliseconds of a round divided by the users, and as `value` the bits that a user uploads for each
number, from the serialised message with the masked vector.
"""

import copy
import json
import logging
import os
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.compat.common.recorddict_compat import parameters_to_arrayrecord
from flwr.server import ServerConfig
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)


class User(NumPyClient):
    def __init__(self, numbers):
        self.numbers = numbers

    def fit(self, parameters, config):
        return [np.full(self.numbers, 0.5, dtype=np.float32)], 1, {}


class Proxy(ClientProxy):
    """Names a user to the strategy; the workflow itself talks to it."""

    def __init__(self, node_id):
        super().__init__(cid=str(node_id))
        self.node_id = node_id

    get_properties = get_parameters = fit = evaluate = reconnect = lambda *_: None


class Room:
    """Brings messages to users in this process, and their replies back."""

    def __init__(self, numbers, users):
        self.app = ClientApp(client_fn=lambda _: User(numbers).to_client(), mods=[secaggplus_mod])
        self.contexts = {u: Context(1, u, {}, RecordDict(), {}) for u in users}
        self.kept = []
        self.copying = 0.0

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            user = message.metadata.dst_node_id
            # Each user has a copy of its own, as from a network; copying is not counted.
            began = time.process_time()
            message.__dict__["_content"] = copy.deepcopy(message.content)
            self.copying += time.process_time() - began
            replies.append(self.app(message, self.contexts[user]))
        self.kept.append(replies[0])
        return replies


def round_of(numbers, count):
    users = list(range(1, count + 1))
    room = Room(numbers, users)
    manager = SimpleClientManager()
    for user in users:
        manager.register(Proxy(user))
    strategy = FedAvg(min_fit_clients=count, min_available_clients=count)
    context = LegacyContext(Context(1, 0, {}, RecordDict(), {}), ServerConfig(num_rounds=1), strategy, manager)
    start = ndarrays_to_parameters([np.zeros(numbers, dtype=np.float32)])
    context.state.array_records[MAIN_PARAMS_RECORD] = parameters_to_arrayrecord(start, True)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({Key.CURRENT_ROUND: 1})
    workflow = SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=0.67)
    began = time.process_time()
    workflow(room, context)
    cpu_ms = 1e3 * (time.process_time() - began - room.copying)
    result = context.state.array_records[MAIN_PARAMS_RECORD].to_numpy_ndarrays()[0]
    # Weights and numbers are quantised.
    assert np.abs(result - 0.5).max() < 1e-3, result
    bits = max(8 * size(reply) / numbers for reply in room.kept)
    return cpu_ms, bits


def size(message):
    """Bytes of what is uploaded: the values of the reply's configuration, where the masked vector is."""
    total = 0
    for record in message.content.config_records.values():
        for value in record.values():
            values = value if isinstance(value, list) else [value]
            total += sum(len(v) if isinstance(v, bytes) else 8 for v in values)
    return total


def main():
    # What a running Flower process would have been told.
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 0
    numbers, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 24
    import resource

    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start_mib = peak()
    rounds = [round_of(numbers, count) for _ in range(1 if numbers > 100_000 else 2)]
    print(
        json.dumps(
            {
                "kind": "step",
                "engine": "flower",
                "task": f"vote-{numbers}",
                "mode": "secagg+",
                "cpu_ms": [min(cpu for cpu, _ in rounds) / count],
                "peak_mib": peak(),
                "start_mib": start_mib,
                "value": rounds[0][1],
            }
        )
    )


main()
