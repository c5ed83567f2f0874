import type { Alert } from './alert.js'

const JOB = { job: 'postrider' }

/** What devices and backends suffer from, beside the objectives. */
export const DELIVERY_ALERTS: readonly Alert[] = [
  {
    name: 'PostriderDevicesStuck',
    severity: 'page',
    lasts: '5m',
    expr: () =>
      'sum by (job) (postrider_devices_waiting{longer_than_seconds="60"}) > 5 and sum by (job) (postrider_devices_waiting{longer_than_seconds="60"}) > 0.01 * sum by (job) (postrider_connections)',
    summary: '{{ $value }} connected devices wait for messages for over a minute ({{ $labels.job }})',
    description:
      'More than one in a hundred connected devices has a message that it has not handled for over a minute.',
    fires: {
      series: [
        { series: 'postrider_devices_waiting{job="postrider",instance="a",longer_than_seconds="60"}', values: '30x60' },
        { series: 'postrider_connections{job="postrider",instance="a"}', values: '1000x60' },
      ],
      at: '20m',
      labels: JOB,
    },
    quiet: {
      series: [
        { series: 'postrider_devices_waiting{job="postrider",instance="a",longer_than_seconds="60"}', values: '6x60' },
        { series: 'postrider_connections{job="postrider",instance="a"}', values: '1000x60' },
      ],
      at: '20m',
    },
  },
  {
    name: 'PostriderNoticesLost',
    severity: 'ticket',
    lasts: '10m',
    expr: (time) =>
      `sum by (job) (rate(postrider_notices_lost_total[${time('10m')}])) > 0.01 * sum by (job) (rate(postrider_messages_sent_total[${time('10m')}]))`,
    summary: 'Messages are found by sweeps only ({{ $labels.job }})',
    description:
      'The bus loses more than one notice in a hundred. Their messages come late by up to the sweep interval.',
    fires: {
      series: [
        { series: 'postrider_notices_lost_total{job="postrider",instance="a"}', values: '0+50x60' },
        { series: 'postrider_messages_sent_total{job="postrider",instance="a"}', values: '0+100x60' },
      ],
      at: '30m',
      labels: JOB,
    },
    quiet: {
      series: [
        { series: 'postrider_notices_lost_total{job="postrider",instance="a"}', values: '0+1x60' },
        { series: 'postrider_messages_sent_total{job="postrider",instance="a"}', values: '0+1000x60' },
      ],
      at: '30m',
    },
  },
  {
    name: 'PostriderMessagesUndelivered',
    severity: 'ticket',
    lasts: '5m',
    expr: (time) =>
      `sum by (job) (rate(postrider_messages_undelivered_total{reason=~"overflow|retention"}[${time('1h')}])) > 0.01 * sum by (job) (rate(postrider_messages_accepted_total[${time('1h')}]))`,
    summary: 'Messages are dropped from full or old inboxes ({{ $labels.job }})',
    description:
      'Over an hour, more than one in a hundred messages as were accepted left its inbox undelivered, by overflow or retention.',
    fires: {
      series: [
        {
          series: 'postrider_messages_undelivered_total{job="postrider",instance="a",reason="overflow"}',
          values: '0+10x90',
        },
        { series: 'postrider_messages_accepted_total{job="postrider",instance="a"}', values: '0+100x90' },
      ],
      at: '80m',
      labels: JOB,
    },
    quiet: {
      series: [
        {
          series: 'postrider_messages_undelivered_total{job="postrider",instance="a",reason="expired"}',
          values: '0+10x90',
        },
        {
          series: 'postrider_messages_undelivered_total{job="postrider",instance="a",reason="overflow"}',
          values: '0x90',
        },
        { series: 'postrider_messages_accepted_total{job="postrider",instance="a"}', values: '0+100x90' },
      ],
      at: '80m',
    },
  },
  {
    name: 'PostriderDataLost',
    severity: 'page',
    lasts: '0s',
    expr: (time) =>
      `sum by (job) (increase(postrider_hellos_total{position=~"past|unknown"}[${time('15m')}])) + sum by (job) (increase(postrider_acks_unknown_epoch_total[${time('15m')}])) > 0`,
    summary: 'The store has come back with less than it had ({{ $labels.job }})',
    description:
      'Devices remember messages that the store does not know. Each of them is told of a reset; what was accepted last may be lost.',
    fires: {
      series: [
        { series: 'postrider_hellos_total{job="postrider",instance="a",position="past"}', values: '0x10 1x30' },
        { series: 'postrider_acks_unknown_epoch_total{job="postrider",instance="a"}', values: '0x40' },
      ],
      at: '15m',
      labels: JOB,
    },
    quiet: {
      series: [
        { series: 'postrider_hellos_total{job="postrider",instance="a",position="past"}', values: '7x40' },
        { series: 'postrider_hellos_total{job="postrider",instance="a",position="valid"}', values: '0+9x40' },
        { series: 'postrider_acks_unknown_epoch_total{job="postrider",instance="a"}', values: '0x40' },
      ],
      at: '30m',
    },
  },
  {
    name: 'PostriderUplinkFull',
    severity: 'page',
    lasts: '2m',
    expr: (time) => `sum by (job) (rate(postrider_uplink_refused_total{reason="full"}[${time('5m')}])) > 0`,
    summary: 'Devices cannot send: the uplink is full ({{ $labels.job }})',
    description:
      'What devices send is kept up to --uplink-max, and nobody reads it fast enough. Devices are disconnected and try again.',
    fires: {
      series: [
        { series: 'postrider_uplink_refused_total{job="postrider",instance="a",reason="full"}', values: '0+3x30' },
      ],
      at: '15m',
      labels: JOB,
    },
    quiet: {
      series: [
        { series: 'postrider_uplink_refused_total{job="postrider",instance="a",reason="full"}', values: '3x30' },
        {
          series: 'postrider_uplink_refused_total{job="postrider",instance="a",reason="device_full"}',
          values: '0+3x30',
        },
      ],
      at: '15m',
    },
  },
]
