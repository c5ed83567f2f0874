/** Name and version that the server sees. A test compares it with package.json. */
export const SDK_NAME = 'postrider-js/0.1.0'
