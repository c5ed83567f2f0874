// `@postrider/sdk/file-storage`: for Node.

export { fileStorage, type FileStorageOptions } from './node/file-storage.js'
