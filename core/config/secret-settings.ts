/** Read from the environment (or the data folder), never from flags or the file. */
export const SECRET_SETTINGS = [
  {
    setting: 'api-key',
    doc: 'An API key with all scopes. When it is not set: the file `api-key` in the data folder. With a Redis or MongoDB store it must be set',
  },
  {
    setting: 'token-secret',
    doc: 'Signs and verifies device tokens: 32 bytes or more. A comma list rotates: the first signs, all verify. When it is not set: the file `token-secret` in the data folder. With a Redis or MongoDB store it must be set',
  },
  {
    setting: 'api-key-file',
    doc: 'Instead of `POSTRIDER_API_KEY`: the file that has it, which others than its owner and group must not be able to read. What is written there is in force within 10 s, without a restart',
  },
  {
    setting: 'token-secret-file',
    doc: 'Instead of `POSTRIDER_TOKEN_SECRET`: the file that has it, as above',
  },
  {
    setting: 'otel-headers',
    doc: 'Headers for the receiver of traces, such as the key that it asks for: `name=value,name=value`, with `%2C` for a comma. Not needed',
  },
] as const
