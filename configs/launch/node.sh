#!/usr/bin/env bash
# A run on several ranks, on this node and, if NODES is more than one, on others that run the same.
#
#     DEVICES=2 configs/launch/node.sh configs/gre/pavi_e.yaml trainer.shard=group
#
# On every node, with the address of one of them:
#
#     NODES=2 DEVICES=8 RENDEZVOUS=node0:29500 configs/launch/node.sh CONFIG trainer.shard=PLATE
#
# If a rank is lost, all ranks start again, up to RESTARTS times, and go on from the last checkpoint.
# The run folder must lie where all nodes see it.
set -euo pipefail

NODES=${NODES:-1}                              # how many machines
DEVICES=${DEVICES:-1}                          # ranks on each
RENDEZVOUS=${RENDEZVOUS:-localhost:0}          # where they meet; port 0 is any free one, for one node
RESTARTS=${RESTARTS:-3}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}   # threads of a rank

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "$NODES" --nproc-per-node "$DEVICES" --max-restarts "$RESTARTS" \
    --rdzv-backend c10d --rdzv-endpoint "$RENDEZVOUS" --rdzv-id "${RUN_ID:-pavi}" \
    -m experiments.run "$@" "trainer.devices=$DEVICES" "trainer.nodes=$NODES"
