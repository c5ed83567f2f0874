import { maximum, metric, nonZero, quantile, sum, sumRate, sumRateBy } from '../lib/metrics.js'
import type { Dashboard } from '../lib/panel.js'

const FAULTS = 'code=~"store_unavailable|outcome_unknown|overloaded"'

export const OVERVIEW: Dashboard = {
  uid: 'postrider-overview',
  title: 'Postrider / Overview',
  description: 'Is the promise kept: accepted, delivered in time, nothing lost?',
  sections: [
    {
      title: 'The promise',
      panels: [
        {
          title: 'Pushes accepted',
          description:
            'The share of pushed messages that this side could take, over 5 minutes. What a backend did wrong does not count.',
          kind: 'number',
          unit: 'percentunit',
          queries: [
            {
              expr: `1 - (sum(rate(${metric('api_problems_total', FAULTS)}[5m])) + sum(rate(${metric('api_items_refused_total', FAULTS)}[5m]))) / (sum(rate(${metric('api_problems_total', FAULTS)}[5m])) + sum(rate(${metric('api_items_refused_total', FAULTS)}[5m])) + sum(rate(${metric('messages_accepted_total')}[5m])) + sum(rate(${metric('messages_duplicate_total')}[5m])))`,
              legend: '',
            },
          ],
          alerts: ['PostriderPushesFail', 'PostriderPushBudgetBurns'],
          thresholds: [
            { from: 0, color: 'red' },
            { from: 0.999, color: 'green' },
          ],
        },
        {
          title: 'Delivered within 1 s',
          description:
            'Of the messages whose device was connected when they were accepted: the share that was handed to it within a second, over 5 minutes.',
          kind: 'number',
          unit: 'percentunit',
          queries: [
            {
              expr: `sum(rate(${metric('accept_to_sent_seconds_bucket', 'accepted_while="connected",le="1"')}[5m])) / sum(rate(${metric('accept_to_sent_seconds_count', 'accepted_while="connected"')}[5m]))`,
              legend: '',
            },
          ],
          alerts: ['PostriderDeliverySlow', 'PostriderDeliveryBudgetBurns'],
          thresholds: [
            { from: 0, color: 'red' },
            { from: 0.99, color: 'green' },
          ],
        },
        {
          title: 'Devices waiting over 60 s',
          description:
            'Connected, subscribed devices whose oldest message has waited for more than a minute. A few are devices that do not acknowledge; many are the platform.',
          kind: 'number',
          unit: 'short',
          queries: [{ expr: sum('devices_waiting', 'longer_than_seconds="60"'), legend: '' }],
          alerts: ['PostriderDevicesStuck'],
          thresholds: [{ from: 1, color: 'yellow' }],
        },
        {
          title: 'Oldest pending message',
          description: 'Of connected and subscribed devices, as the last sweep saw it.',
          kind: 'number',
          unit: 's',
          queries: [{ expr: maximum('oldest_pending_age_seconds'), legend: '' }],
          alerts: ['PostriderDevicesStuck'],
          thresholds: [{ from: 60, color: 'yellow' }],
        },
        {
          title: 'Connected devices',
          description: 'Over all nodes.',
          kind: 'number',
          unit: 'short',
          queries: [{ expr: sum('connections'), legend: '' }],
        },
        {
          title: 'Nodes ready',
          description: 'Nodes whose `/readyz` says 200.',
          kind: 'number',
          unit: 'short',
          queries: [{ expr: sum('ready'), legend: '' }],
          alerts: ['PostriderNodeDown', 'PostriderNodeNotReady'],
        },
      ],
    },
    {
      title: 'Messages',
      panels: [
        {
          title: 'The way of messages',
          description:
            'Accepted from backends, handed to devices, acknowledged by them. `sent` above `accepted`: redeliveries or a backlog that drains; `handled` below it: devices are away or slow.',
          kind: 'lines',
          unit: 'cps',
          width: 12,
          queries: [
            { expr: sumRate('messages_accepted_total'), legend: 'accepted' },
            { expr: sumRate('messages_sent_total'), legend: 'sent' },
            { expr: sumRate('messages_handled_total'), legend: 'handled' },
          ],
        },
        {
          title: 'From accepted to sent',
          description: 'Messages whose device was connected when they were accepted.',
          kind: 'lines',
          unit: 's',
          width: 12,
          queries: [
            { expr: quantile(0.5, 'accept_to_sent_seconds', 'accepted_while="connected"'), legend: 'p50' },
            { expr: quantile(0.99, 'accept_to_sent_seconds', 'accepted_while="connected"'), legend: 'p99' },
            { expr: quantile(0.999, 'accept_to_sent_seconds', 'accepted_while="connected"'), legend: 'p99.9' },
          ],
          alerts: ['PostriderDeliverySlow'],
        },
        {
          title: 'From accepted to handled',
          description: 'The same up to the acknowledgement of the device: its own time is in it.',
          kind: 'lines',
          unit: 's',
          queries: [
            { expr: quantile(0.5, 'accept_to_handled_seconds', 'accepted_while="connected"'), legend: 'p50' },
            { expr: quantile(0.99, 'accept_to_handled_seconds', 'accepted_while="connected"'), legend: 'p99' },
          ],
        },
        {
          title: 'Delivered again',
          description: 'Messages sent that an earlier connection of the device may have seen. Rises with reconnects.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRate('messages_redelivered_total'), legend: 'redelivered' }],
        },
        {
          title: 'Pending of connected devices',
          description: 'The backlog that could be delivered now, as the last sweep saw it.',
          kind: 'lines',
          unit: 'short',
          queries: [{ expr: sum('connected_pending_messages'), legend: 'messages' }],
        },
      ],
    },
    {
      title: 'What was not delivered, and what went wrong',
      panels: [
        {
          title: 'Undelivered, by reason',
          description:
            '`overflow` and `retention`: devices were away for too long or get more than they take. The others were asked for.',
          kind: 'lines',
          unit: 'cps',
          queries: [{ expr: sumRateBy('reason', 'messages_undelivered_total'), legend: '{{reason}}' }],
          alerts: ['PostriderMessagesUndelivered'],
          stacked: true,
        },
        {
          title: 'Pushes refused, by code',
          description: 'Requests and messages of batches that were not accepted.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: nonZero(sumRateBy('code', 'api_problems_total')), legend: '{{code}}' },
            { expr: nonZero(sumRateBy('code', 'api_items_refused_total')), legend: '{{code}} (in a batch)' },
          ],
          alerts: ['PostriderPushesFail'],
          stacked: true,
          onlyWhen: 'pushes are refused',
        },
        {
          title: 'Signs of lost data',
          description:
            'Devices that remember more than the store does. Anything here means that the store came back with less than it had.',
          kind: 'lines',
          unit: 'cps',
          queries: [
            { expr: sumRate('hellos_total', 'position=~"past|unknown"'), legend: 'hellos past the log' },
            { expr: sumRate('acks_unknown_epoch_total'), legend: 'acknowledgements of an unknown epoch' },
          ],
          alerts: ['PostriderDataLost'],
        },
      ],
    },
  ],
}
