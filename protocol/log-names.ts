/** The name of a device's inbox among its logs. */
export const inboxLog = (device: string): string => `d:${device}`
