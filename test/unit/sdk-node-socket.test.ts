import t from 'tap'
import { openSocket } from '../../sdk/node/socket-channel.js'

void t.test('SDK socket: TLS asks for a host by its name, and for an address by none', async (t) => {
  const warnings: string[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  for (const host of ['127.0.0.1', '[::1]']) {
    await new Promise<void>((resolve) => {
      openSocket(
        new URL(`mqtts://${host}:1`),
        {},
        { onOpen: () => undefined, onData: () => undefined, onEnd: () => resolve() },
      )
    })
  }
  t.same(warnings, [], 'a name that is an address is deprecated in Node')
})
