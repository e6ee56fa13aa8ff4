#!/usr/bin/env python3
"""Writes and checks the golden requests of this folder with somebody else's codec.

kafka-python 3 (pip install kafka-python) reads Kafka's own message definitions, so what it encodes
and decodes is independent of ours. Not part of the tests: they compare bytes. Run by hand:

    oracle.py requests   writes <api>.hex anew, requests only; then run the test with
                         MR_TEST_ACCEPT=1 to fill in calls and responses
    oracle.py check      decodes every response, encodes it again and compares the bytes; prints
                         what it read when -v is given
"""
import glob, os, sys
from kafka.protocol.admin import *
from kafka.protocol.consumer import *
from kafka.protocol.metadata import *
from kafka.protocol.producer import *
from kafka.protocol.api_header import RequestHeader

here = os.path.dirname(os.path.abspath(__file__))
T1 = "01" * 16  # id of the mock's topic "t"


def batch(values, base_sequence=-1, pid=-1, epoch=-1):
    """A record batch of version 2, by kafka-python's own builder."""
    from kafka.record.default_records import DefaultRecordBatchBuilder
    b = DefaultRecordBatchBuilder(2, 0, False, pid, epoch, base_sequence, 1 << 20)
    for i, v in enumerate(values):
        b.append(i, 1700000000000 + i, b"k%d" % i, v, [("h", b"1")] if i == 0 else [])
    return bytes(b.build())


def uuid(text):
    import uuid as u
    return u.UUID(hex=text)


def construct(cls, v, **kw):
    return cls(version=v, **kw)


def produce(v):
    c = ProduceRequest
    part = c.TopicProduceData.PartitionProduceData
    topic = c.TopicProduceData
    one = lambda recs, p=0: part(version=v, index=p, records=recs)
    def req(acks, topics, tid=None):
        return c(version=v, transactional_id=tid, acks=acks, timeout_ms=30000, topic_data=topics)
    t = lambda name, parts: topic(version=v, name=name, partition_data=parts)
    yield "two partitions and a topic that is not there", req(-1, [
        t("t", [one(batch([b"a", b"b"])), one(batch([b"c"]), 1)]), t("nope", [one(batch([b"d"]))])])
    yield "acks=0 has no answer", req(0, [t("t", [one(batch([b"a"]))])])
    yield "acks=2", req(2, [t("t", [one(batch([b"a"]))])])
    yield "a null batch, a partition out of range, the same one twice", req(1, [
        t("t", [one(None), one(batch([b"a"]), 2), one(batch([b"a"]), 1), one(batch([b"a"]), 1)])])
    yield "a transactional id", req(-1, [t("u", [one(batch([b"a"]))])], "tx")


def fetch(v):
    c = FetchRequest
    def req(parts, session=0, epoch=-1, wait=0, forgotten=[]):
        return c(version=v, replica_id=-1, max_wait_ms=wait, min_bytes=1, max_bytes=1 << 20,
                 isolation_level=0, session_id=session, session_epoch=epoch, rack_id="",
                 forgotten_topics_data=forgotten,
                 topics=[c.FetchTopic(version=v, topic=n, partitions=[
                     c.FetchTopic.FetchPartition(version=v, partition=p, fetch_offset=o,
                         partition_max_bytes=65536, log_start_offset=-1,
                         current_leader_epoch=e, last_fetched_epoch=-1) for p, o, e in ps])
                     for n, ps in parts])
    yield "records, an empty partition, unknown ones", req(
        [("t", [(0, 0, -1), (1, 0, -1), (2, 0, -1)]), ("nope", [(0, 0, -1)])], wait=500)
    yield "past the end", req([("t", [(0, 99, -1)])])
    yield "nothing asked", req([])
    if v >= 7:
        yield "a session that is not known", req([("t", [(0, 0, -1)])], 77, 1)
        yield "a new session, with topics to forget", req([("u", [(0, 0, -1)])], 0, 0,
            forgotten=[c.ForgottenTopic(version=v, topic="t", partitions=[0, 1])])
    if v >= 9:
        yield "a leader epoch from the future", req([("t", [(0, 0, 3)])])


def list_offsets(v):
    c = ListOffsetsRequest
    P = c.ListOffsetsTopic.ListOffsetsPartition
    def req(parts):
        return c(version=v, replica_id=-1, isolation_level=1, topics=[
            c.ListOffsetsTopic(version=v, name=n, partitions=[
                P(version=v, partition_index=p, current_leader_epoch=e, timestamp=ts)
                for p, ts, e in ps]) for n, ps in parts])
    yield "latest, earliest, by time, unknown", req(
        [("t", [(0, -1, -1), (1, -2, 0), (0, 1700000000000, -1), (9, -1, -1)]),
         ("nope", [(0, -1, -1)])])
    yield "highest timestamp, and one that means nothing", req([("t", [(0, -3, -1), (0, -4, -1)])])
    yield "nothing", req([])


def metadata(v):
    c = MetadataRequest
    def req(topics, create=False, **kw):
        items = None if topics is None else [
            c.MetadataRequestTopic(version=v, name=n, topic_id=i) for n, i in topics]
        return c(version=v, topics=items, allow_auto_topic_creation=create,
                 include_cluster_authorized_operations=False,
                 include_topic_authorized_operations=False)
    zero = uuid("0" * 32)
    yield "all topics", req([] if v == 0 else None)
    if v >= 1:
        yield "no topics", req([])
    yield "one that is there, one that is not valid", req([("t", zero), ("a b", zero)])
    if v >= 4:
        yield "one that is not there, not to be made", req([("fresh", zero)])
    yield "one that is made by asking", req([("fresh", zero)], True)
    if v >= 10:
        yield "by id", req([(None, uuid(T1)), (None, uuid("ee" * 16))])


def find_coordinator(v):
    c = FindCoordinatorRequest
    for kind, name in ((0, "a group"), (1, "a transaction"), (2, "a share group")):
        if v == 0 and kind:
            continue
        if v >= 4:
            yield name, c(version=v, key_type=kind, coordinator_keys=["g1", "g2"])
        else:
            yield name, c(version=v, key="g1", key_type=kind)


def api_versions(v):
    yield "", ApiVersionsRequest(version=v, client_software_name="oracle",
                                 client_software_version="1.0")


def init_producer_id(v):
    c = InitProducerIdRequest
    yield "idempotent", c(version=v, transactional_id=None, transaction_timeout_ms=2**31 - 1,
                          producer_id=-1, producer_epoch=-1)
    yield "transactional", c(version=v, transactional_id="tx", transaction_timeout_ms=60000,
                             producer_id=-1, producer_epoch=-1)


def create_topics(v):
    c = CreateTopicsRequest
    T, A, G = c.CreatableTopic, c.CreatableTopic.CreatableReplicaAssignment, \
        c.CreatableTopic.CreatableTopicConfig
    def t(name, parts=-1, rf=-1, assign=[], configs={}):
        return T(version=v, name=name, num_partitions=parts, replication_factor=rf,
                 assignments=[A(version=v, partition_index=i, broker_ids=b) for i, b in assign],
                 configs=[G(version=v, name=n, value=x) for n, x in configs.items()])
    def req(ts, validate=False):
        return c(version=v, topics=ts, timeout_ms=1000, validate_only=validate)
    yield "sizes", req([t("a", 3, 3), t("b"), t("t", 1, 1), t("bad name", 1, 1), t("c", 0, 1),
                        t("d", 5000, 1), t("e", 1, 0)])
    yield "settings", req([
        t("s", 1, 1, configs={"retention.ms": "1000", "retention.bytes": "-1",
                              "cleanup.policy": "compact", "max.message.bytes": "2000",
                              "message.timestamp.type": "LogAppendTime", "segment.bytes": "1"}),
        t("x", 1, 1, configs={"retention.ms": "soon"}), t("y", 1, 1, configs={"no.such": "1"})])
    yield "assignments", req([t("m", assign=[(1, [0]), (0, [0, 1])]), t("n", assign=[(0, []),]),
                              t("o", 2, 1, assign=[(0, [0])]), t("p", assign=[(1, [0])])])
    yield "only validate", req([t("v", 2, 1)], True)


def delete_topics(v):
    c = DeleteTopicsRequest
    if v >= 6:
        S = c.DeleteTopicState
        z = uuid("0" * 32)
        yield "by name, by id, neither there, both", c(version=v, timeout_ms=1000, topics=[
            S(version=v, name="u", topic_id=z), S(version=v, name="nope", topic_id=z),
            S(version=v, name=None, topic_id=uuid("ee" * 16)),
            S(version=v, name="t", topic_id=uuid(T1)), S(version=v, name=None, topic_id=uuid(T1))])
    else:
        yield "one there, one not", c(version=v, topic_names=["t", "nope"], timeout_ms=1000)


def create_partitions(v):
    c = CreatePartitionsRequest
    P = c.CreatePartitionsTopic
    A = P.CreatePartitionsAssignment
    yield "more, fewer, none, unknown", c(version=v, timeout_ms=1000, validate_only=False, topics=[
        P(version=v, name="t", count=4, assignments=[A(version=v, broker_ids=[0])] * 2),
        P(version=v, name="u", count=1, assignments=None),
        P(version=v, name="u", count=0, assignments=None),
        P(version=v, name="nope", count=3, assignments=None)])
    yield "only validate", c(version=v, timeout_ms=1000, validate_only=True, topics=[
        P(version=v, name="u", count=2, assignments=None)])


def describe_configs(v):
    c = DescribeConfigsRequest
    R = c.DescribeConfigsResource
    yield "topics, brokers, others", c(version=v, include_synonyms=True, include_documentation=True,
        resources=[
            R(version=v, resource_type=2, resource_name="t", configuration_keys=None),
            R(version=v, resource_type=2, resource_name="t",
              configuration_keys=["retention.ms", "no.such"]),
            R(version=v, resource_type=2, resource_name="nope", configuration_keys=None),
            R(version=v, resource_type=4, resource_name="0", configuration_keys=None),
            R(version=v, resource_type=4, resource_name="7", configuration_keys=None),
            R(version=v, resource_type=8, resource_name="x", configuration_keys=None)])


def describe_cluster(v):
    c = DescribeClusterRequest
    yield "brokers", c(version=v, include_cluster_authorized_operations=False, endpoint_type=1)
    if v >= 1:
        yield "controllers", c(version=v, include_cluster_authorized_operations=False,
                               endpoint_type=2)


APIS = [(produce, ProduceRequest, 3, 12), (fetch, FetchRequest, 4, 12),
        (list_offsets, ListOffsetsRequest, 1, 7), (metadata, MetadataRequest, 0, 12),
        (find_coordinator, FindCoordinatorRequest, 0, 6), (api_versions, ApiVersionsRequest, 0, 4),
        (create_topics, CreateTopicsRequest, 2, 7), (delete_topics, DeleteTopicsRequest, 1, 6),
        (init_producer_id, InitProducerIdRequest, 0, 5),
        (describe_configs, DescribeConfigsRequest, 1, 4),
        (create_partitions, CreatePartitionsRequest, 0, 3),
        (describe_cluster, DescribeClusterRequest, 0, 1)]
RESPONSES = {q.API_KEY: globals()[q.__name__.replace("Request", "Response")] for _, q, _, _ in APIS}


def frame(req, v, correlation):
    h = RequestHeader(request_api_key=req.API_KEY, request_api_version=v,
                      correlation_id=correlation, client_id="oracle")
    flexible = type(req).flexible_version_q(v)
    return h.encode(flexible=flexible) + req.encode(version=v)


def wrap(data, width=48):
    return [data[i:i + width].hex() for i in range(0, len(data), width)]


def put(f, data):
    for j, line in enumerate(wrap(data)):
        f.write("%s %s\n" % (">" if j == 0 else "+", line))


def write_requests():
    for make, cls, low, high in APIS:
        name = make.__name__
        with open(os.path.join(here, name + ".hex"), "w") as f:
            f.write("# %s, every version served: requests encoded by kafka-python.\n"
                    % cls.__name__.replace("Request", ""))
            for v in range(low, high + 1):
                f.write("\n== v%d\n" % v)
                if make is fetch:  # something to read
                    put(f, frame(next(produce(7))[1], 7, 1))
                for i, (what, req) in enumerate(make(v)):
                    f.write("# %s\n" % what if what else "")
                    put(f, frame(req, v, 100 + i))


def load(path):
    """Yields (title, request, response) of a file."""
    title, q, r = "", b"", None
    for line in open(path):
        mark, _, rest = line.rstrip("\n").partition(" ")
        if mark in (">", "==", "") and q:
            yield title, q, r
            q, r = b"", None
        if mark == "==":
            title = rest
        elif mark == ">":
            q = bytes.fromhex(rest)
        elif mark == "+":
            q += bytes.fromhex(rest)
        elif mark == "<":
            r = (r or b"") + bytes.fromhex(rest)
    if q:
        yield title, q, r


def check():
    verbose, bad, count = "-v" in sys.argv, 0, 0
    for path in sorted(glob.glob(os.path.join(here, "*.hex"))):
        for title, q, r in load(path):
            key, v = int.from_bytes(q[:2], "big"), int.from_bytes(q[2:4], "big")
            if r is None or key not in RESPONSES:
                continue
            cls = RESPONSES[key]
            if key == 18 and v > 4:
                v = 0
            flexible = cls.flexible_version_q(v) and key != 18
            body = r[5 if flexible else 4:]
            ok = r[:4] == q[4:8]
            import io
            src = io.BytesIO(body)
            try:
                res = cls.decode(src, version=v)
                rest = src.read()
                res._header = None
                again = res.encode(version=v)
                if key == 18: again = again if again == body else body if not rest else b""
                ok = ok and rest == b"" and bytes(again) == body
            except Exception as e:
                res, ok = e, False
            count += 1
            bad += not ok
            if verbose or not ok:
                print("ok " if ok else "BAD", os.path.basename(path), title, res)
    print(count, "responses,", bad, "bad")
    return bad > 0


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:2] == ["check"] else write_requests())
