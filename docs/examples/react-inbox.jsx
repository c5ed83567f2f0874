// A device in a React app: the hook, and a component that uses it.

import { useEffect, useRef, useState } from 'react'
import { connect, indexedDbStorage } from '@postrider/sdk'

/**
 * A device for as long as the component is there. `handle` gets one message at a time; when it resolves, the message is
 * handled for good, so what must survive a reload is kept before that. The client is null until the component is mounted.
 */
export function useDevice(url, deviceId, handle) {
  const [client, setClient] = useState(null)
  const [{ state, error }, setState] = useState({ state: 'connecting', error: null })
  const latest = useRef(handle)
  useEffect(() => {
    latest.current = handle
  })

  useEffect(() => {
    const opened = connect({
      urls: url,
      deviceId,
      getToken: async ({ signal }) => {
        const response = await fetch('/device-token', { signal })
        if (!response.ok) throw new Error(`no token: ${response.status}`)
        return response.text()
      },
      // One client at a time: the next one waits until this one has let go of it, as after a reload or in StrictMode.
      storage: indexedDbStorage({ name: `postrider-${deviceId}` }),
      handler: (message) => latest.current(message),
    })
    const off = opened.on('state', setState)
    setClient(opened)
    return () => {
      off()
      void opened.close()
    }
  }, [url, deviceId])

  return { client, state, error }
}

const KEPT = 'inbox'
const load = () => JSON.parse(localStorage.getItem(KEPT) ?? '[]')

export function Inbox({ url, deviceId }) {
  const [messages, setMessages] = useState(load)
  const { client, state, error } = useDevice(url, deviceId, (message) => {
    // Under its key: if the page ends between this and the record, the second run changes nothing.
    const rest = load().filter(({ key }) => key !== message.key)
    const next = [...rest, { key: message.key, text: message.text() }]
    localStorage.setItem(KEPT, JSON.stringify(next))
    setMessages(next)
  })

  return (
    <section>
      <p className="state">{error === null ? state : `${state}: ${error.message}`}</p>
      <ol>
        {messages.map(({ key, text }) => (
          <li key={key}>{text}</li>
        ))}
      </ol>
      <button disabled={client === null} onClick={() => void client.send('read', { count: messages.length })}>
        Mark as read
      </button>
    </section>
  )
}
