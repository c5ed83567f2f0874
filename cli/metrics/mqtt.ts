import { BrokerCounters } from '../../broker/counters.js'
import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'

const SHAPE = new BrokerCounters()

/** The device listeners. */
export const MQTT = metricGroup<BrokerCounters>('MQTT', 'on nodes that serve devices', [
  gauge(
    'sockets',
    'Open sockets on the device listeners',
    'Near the limit of open files: newcomers are put out',
    (b) => b.sockets,
  ),
  gauge('connections', 'Connected devices', 'Falls at once: a node or a network has gone', (b) => b.connections),
  counterBy(
    'mqtt_connects_total',
    'result',
    Object.keys(SHAPE.connects),
    'CONNECT packets, by what became of them',
    'Everything but `accepted` and `gone` is a refusal, by its reason',
    (b) => b.connects,
  ),
  counterBy(
    'mqtt_closes_total',
    'reason',
    Object.keys(SHAPE.closes),
    'Ended connections',
    '`client`: the network or the device ended it; `disconnect`: the device said so; `slow_consumer`: it stopped reading',
    (b) => b.closes,
  ),
  counter('mqtt_received_bytes_total', 'Bytes from devices', 'Traffic', (b) => b.bytesIn),
  counter('mqtt_sent_bytes_total', 'Bytes to devices', 'Traffic', (b) => b.bytesOut),
  counter(
    'mqtt_publishes_sent_total',
    'PUBLISH packets to devices',
    'In stream mode one holds many messages',
    (b) => b.publishesSent,
  ),
  counter(
    'mqtt_publishes_dup_total',
    'PUBLISH packets to devices with DUP',
    'Sent again after a reconnect',
    (b) => b.publishesRedelivered,
  ),
  counter('mqtt_pubacks_total', 'PUBACK packets from devices', 'Plain mode: a message each', (b) => b.pubacks),
  counter(
    'mqtt_pubacks_unknown_total',
    'PUBACK packets that nothing waited for',
    'A client at fault',
    (b) => b.pubacksUnknown,
  ),
  counter(
    'stream_frames_sent_total',
    'Frames of stream mode to devices',
    'The share of stream mode',
    (b) => b.framesSent,
  ),
  counter(
    'stream_frames_received_total',
    'Frames of stream mode from devices',
    'The share of stream mode',
    (b) => b.framesReceived,
  ),
  counter('mqtt_subscribes_granted_total', 'Filters granted', 'Rises with connects', (b) => b.subscribesGranted),
  counterBy(
    'mqtt_subscribes_refused_total',
    'reason',
    Object.keys(SHAPE.subacksRefused),
    'Filters answered with 0x80',
    '`qos_0`: an inbox needs QoS 1; `no_grant`, `foreign`: what the token does not allow',
    (b) => b.subacksRefused,
  ),
  counterBy(
    'mqtt_publishes_denied_total',
    'topic',
    Object.keys(SHAPE.publishesDenied),
    'PUBLISH packets denied, by the kind of topic',
    'The connection was closed; a client or its token is at fault',
    (b) => b.publishesDenied,
  ),
  counterBy(
    'mqtt_throttled_total',
    'rate',
    Object.keys(SHAPE.throttled),
    'Times that a connection was not read for a while, by the rate that it had used up',
    'Devices send more than their limits; see limits.md',
    (b) => b.throttled,
  ),
  counterBy(
    'mqtt_protocol_errors_total',
    'error',
    Object.keys(SHAPE.protocolErrors),
    'Packets against the protocol',
    'Clients at fault, or somebody who tries',
    (b) => b.protocolErrors,
  ),
  gauge(
    'mqtt_entrance_waiting',
    'Connections before their first byte of MQTT',
    'A crowd: slow handshakes, or an attack',
    (b) => b.entrance.waiting,
  ),
  counter(
    'mqtt_entrance_passed_total',
    'Connections that got to MQTT through a handshake',
    'PROXY headers, TLS and WebSocket upgrades',
    (b) => b.entrance.passed,
  ),
  counterBy(
    'mqtt_entrance_failures_total',
    'reason',
    Object.keys(SHAPE.entrance.failures),
    'Connections that ended before it: PROXY header, TLS, WebSocket upgrade',
    '`tls_failed` of everybody: the certificate; `proxy_untrusted`: the address of a proxy has changed',
    (b) => b.entrance.failures,
  ),
])
