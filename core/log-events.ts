// Every line of the log has a name that stays (`event`), whatever becomes of its words. This is the table of both; docs/logs.md
// is made of it, and a test compares it with what the code writes.

export interface LogEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'fatal'
  /** `msg` of the line: what the code says. */
  readonly text: string
}

/** By event, then by where it belongs. */
export const LOG_EVENTS = {
  // --- the process
  serving: { level: 'info', text: 'serving' },
  dev_page_served: { level: 'info', text: 'a page for development is served' },
  stop_asked: { level: 'info', text: 'stopping' },
  stop_hurried: { level: 'info', text: 'asked again: stopping without a pause' },
  drain_time_over: {
    level: 'warn',
    text: 'the time to let go of connections is over: those that are left are closed at once',
  },
  stopped: { level: 'info', text: 'stopped' },
  workers_serving: { level: 'info', text: 'all workers serve' },
  worker_ended: { level: 'error', text: 'a worker ended, and is started again' },
  worker_restarted: { level: 'info', text: 'a worker serves again' },
  worker_stuck: { level: 'error', text: 'a worker did not stop in time, and is ended' },
  worker_link_failed: { level: 'error', text: 'the parent could not be answered' },
  step_started: { level: 'debug', text: 'started' },
  step_gave_up: { level: 'error', text: 'a step did not stop in time and was given up' },
  step_stop_failed: { level: 'error', text: 'a step failed to stop' },
  uncaught_error: { level: 'fatal', text: 'an error that nothing caught' },
  unhandled_rejection: { level: 'fatal', text: 'a rejection that nothing handled' },
  variable_unknown: { level: 'warn', text: 'an environment variable that means nothing here' },
  api_key_short: { level: 'warn', text: 'the API key is short enough to be guessed' },
  connections_limited: {
    level: 'warn',
    text: 'fewer connections than set: the limit of open files allows no more',
  },
  lines_left_out: { level: 'info', text: 'lines were left out: clients caused too many' },
  ready_check_passed: { level: 'info', text: 'a check of readiness is good again' },
  ready_check_failed: { level: 'warn', text: 'a check of readiness failed: the node is not ready' },
  admin_request_failed: { level: 'error', text: 'an admin request failed' },
  admin_listener_failed: { level: 'error', text: 'the admin listener has an error' },
  // --- devices
  connection_refused: { level: 'info', text: 'connection refused' },
  connection_ended: { level: 'info', text: 'connection ended' },
  protocol_violated: { level: 'info', text: 'protocol violated' },
  aedes_ended_connection: { level: 'debug', text: 'connection ended by Aedes' },
  connection_closed_by_server: { level: 'debug', text: 'connection closed by the server' },
  token_refused: { level: 'info', text: 'token refused' },
  admission_unavailable: { level: 'warn', text: 'device could not be admitted' },
  admission_failed: { level: 'error', text: 'admission failed' },
  subscriptions_refused: { level: 'info', text: 'subscriptions refused' },
  subscriptions_not_kept: { level: 'warn', text: 'subscriptions could not be kept' },
  session_not_resumed: { level: 'warn', text: 'the session of a device could not be taken up' },
  publish_denied: { level: 'info', text: 'publish denied' },
  frame_refused: { level: 'info', text: 'a frame was refused' },
  hello: { level: 'debug', text: 'hello' },
  uplink_not_stored: { level: 'warn', text: 'uplink could not be stored' },
  accept_failed: { level: 'error', text: 'accepting a connection failed' },
  tls_handshake_failed: { level: 'debug', text: 'a TLS handshake failed' },
  aedes_failed: { level: 'error', text: 'Aedes failed' },
  session_queue_unread: { level: 'warn', text: 'the queue of a session could not be read' },
  session_write_failed: { level: 'error', text: 'a write of sessions failed: they are read again' },
  session_changes_not_stored: { level: 'debug', text: 'changes of sessions could not be stored' },
  sessions_unread: { level: 'error', text: 'the sessions could not be read' },
  will_not_published: { level: 'warn', text: 'a will could not be published' },
  // --- ordinary publish and subscribe over many nodes
  retained_not_sent: { level: 'warn', text: 'retained messages could not be sent' },
  released_not_removed: { level: 'debug', text: 'acknowledged messages could not be removed' },
  ordinary_missed: {
    level: 'warn',
    text: 'messages of ordinary pub/sub were missed: stored sessions are read, others have lost them',
  },
  will_not_stored: { level: 'warn', text: 'a will could not be stored; it is tried again' },
  ordinary_node_not_left: { level: 'warn', text: 'ordinary_node_not_left' },
  ordinary_node_not_renewed: { level: 'debug', text: 'ordinary_node_not_renewed' },
  ordinary_node_renamed: { level: 'warn', text: 'ordinary_node_renamed' },
  ordinary_connection_not_left: { level: 'debug', text: 'ordinary_connection_not_left' },
  ordinary_filters_not_forgotten: { level: 'debug', text: 'ordinary_filters_not_forgotten' },
  ordinary_entry_unknown: { level: 'debug', text: 'ordinary_entry_unknown' },
  ordinary_stream_lost: { level: 'warn', text: 'ordinary_stream_lost' },
  ordinary_stream_not_trimmed: { level: 'debug', text: 'ordinary_stream_not_trimmed' },
  // --- delivery
  claims_unconfirmed: {
    level: 'warn',
    text: 'claims could not be confirmed in time: nothing is sent until they are',
  },
  claim_not_released: { level: 'warn', text: 'a claim could not be released' },
  acks_not_stored: { level: 'warn', text: 'acks could not be stored; they are tried again' },
  acks_given_up: {
    level: 'warn',
    text: 'the store did not take the last acks of these devices: they may get messages again',
  },
  delivery_read_failed: { level: 'warn', text: 'the store could not be asked; it is tried again' },
  sweep_failed: { level: 'warn', text: 'the sweep could not ask the store; the next one will' },
  resync: { level: 'warn', text: 'messages pend that an idle courier does not have; closed to resync' },
  store_ping_failed: { level: 'debug', text: 'the store does not answer' },
  // --- REST
  request_failed: { level: 'error', text: 'a request failed in an unforeseen way' },
  request_not_served: { level: 'warn', text: 'a request could not be served' },
  request_refused: { level: 'debug', text: 'a request was refused' },
  append_failed: { level: 'error', text: 'an append failed in an unforeseen way' },
  // --- tokens, keys, TLS
  secret_taken: { level: 'info', text: 'a changed secret is in force' },
  secret_unusable: {
    level: 'error',
    text: 'a secret cannot be used as it is now; what was in force stays in force',
  },
  keys_taken: { level: 'info', text: 'keys for device tokens taken' },
  keys_source_back: { level: 'info', text: 'the source of keys for device tokens is back' },
  keys_unread: { level: 'error', text: 'the keys for device tokens could not be read' },
  keys_kept_unusable: { level: 'warn', text: 'the keys kept from the last run cannot be used' },
  keys_of_last_run: { level: 'warn', text: 'keys for device tokens of the last run are used' },
  keys_not_kept: { level: 'warn', text: 'the keys for device tokens could not be kept for a restart' },
  tls_files_asked: { level: 'info', text: 'looking at the TLS files' },
  tls_certificate_taken: { level: 'info', text: 'new TLS certificate taken' },
  tls_certificate_unusable: {
    level: 'error',
    text: 'new TLS files cannot be used; the old ones are served on',
  },
  tls_files_unread: { level: 'error', text: 'looking at the TLS files failed' },
  tls_certificate_expired: { level: 'warn', text: 'the TLS certificate has expired: clients will refuse it' },
  tls_certificate_expires: { level: 'warn', text: 'the TLS certificate expires soon' },
  tls_certificate_early: { level: 'warn', text: 'the TLS certificate is not valid yet: clients will refuse it' },
  // --- store and bus: their words are their names
  store_clean_mark_failed: { level: 'warn', text: 'store_clean_mark_failed' },
  store_close_failed: { level: 'error', text: 'store_close_failed' },
  store_halted: { level: 'fatal', text: 'store_halted' },
  store_commit_failed: { level: 'error', text: 'store_commit_failed' },
  store_maintenance_failed: { level: 'warn', text: 'store_maintenance_failed' },
  redis_connection_failed: { level: 'warn', text: 'redis_connection_failed' },
  redis_instance_unknown: { level: 'warn', text: 'redis_instance_unknown' },
  redis_node_failed: { level: 'warn', text: 'redis_node_failed' },
  store_without_replica_set: { level: 'warn', text: 'store_without_replica_set' },
  store_not_seen: { level: 'debug', text: 'store_not_seen' },
  messages_left_behind: { level: 'debug', text: 'messages_left_behind' },
  stored_messages_lost: { level: 'error', text: 'stored_messages_lost' },
  uplink_trim_failed: { level: 'warn', text: 'uplink_trim_failed' },
  events_trim_failed: { level: 'warn', text: 'events_trim_failed' },
  event_relay_failed: { level: 'warn', text: 'event_relay_failed' },
  webhook_secret_unreadable: { level: 'error', text: 'webhook_secret_unreadable' },
  webhook_store_failed: { level: 'debug', text: 'webhook_store_failed' },
  webhook_lease_lost: { level: 'warn', text: 'webhook_lease_lost' },
  webhook_cursor_unknown: { level: 'warn', text: 'webhook_cursor_unknown' },
  webhook_attempt_failed: { level: 'debug', text: 'webhook_attempt_failed' },
  webhook_paused: { level: 'warn', text: 'webhook_paused' },
  ordinary_entry_unreadable: { level: 'warn', text: 'ordinary_entry_unreadable' },
  bus_handler_failed: { level: 'error', text: 'a bus handler failed' },
  bus_leave_failed: { level: 'debug', text: 'bus_leave_failed' },
  bus_kick_failed: { level: 'debug', text: 'bus_kick_failed' },
  bus_packet_malformed: { level: 'debug', text: 'bus_packet_malformed' },
  bus_answer_failed: { level: 'debug', text: 'bus_answer_failed' },
  bus_name_taken: { level: 'error', text: 'bus_name_taken' },
  bus_subscription_lost: { level: 'warn', text: 'bus_subscription_lost' },
  bus_subscription_failed: { level: 'warn', text: 'bus_subscription_failed' },
} as const satisfies Record<string, LogEvent>

const BY_TEXT: ReadonlyMap<string, string> = new Map(
  Object.entries(LOG_EVENTS).map(([event, { text }]) => [text, event]),
)

/** The event of a line with these words; undefined: the table does not have it. */
export const eventOf = (text: string): string | undefined => BY_TEXT.get(text)
