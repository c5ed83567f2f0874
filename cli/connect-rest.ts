import type { Environment } from '../core/config/read-environment.js'
import type { Values } from '../core/config/option.js'
import { isDeviceId, DEVICE_ID_RULE } from '../protocol/device-id.js'
import { EXIT } from '../core/exit-codes.js'
import { readAuthorities } from './authorities.js'
import type { REST_OPTIONS } from './client-options.js'
import { CommandFailure, usageError } from './command.js'
import { createRestClient, type RestClient } from './rest-client.js'
import { API_KEY_VARIABLE, apiKeyFile, findApiKey } from './secrets.js'

/** The REST API with the key that was given or is in the data folder; a CommandFailure when there is none. */
export async function connectRest(settings: Values<typeof REST_OPTIONS>, env: Environment): Promise<RestClient> {
  const apiKey = await findApiKey(settings.data, settings.apiKey, env)
  if (apiKey === null) {
    throw new CommandFailure(
      `no API key: set ${API_KEY_VARIABLE}, or name with --data the folder that has ${apiKeyFile(settings.data)}`,
      EXIT.noPermission.code,
    )
  }
  return createRestClient({ url: settings.url, apiKey, ca: await readAuthorities(settings.ca) })
}

/** The argument as a device id, or a usage error. */
export function deviceArgument(text: string | undefined): string {
  if (text === undefined || !isDeviceId(text)) throw usageError(`"${text ?? ''}" is no device id: ${DEVICE_ID_RULE}`)
  return text
}
