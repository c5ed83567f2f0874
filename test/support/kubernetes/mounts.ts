// Secrets that a pod mounts as folders, in a folder of this machine.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { array, at, type Json, string } from './chart.js'

/** Writes them as a kubelet does for the group of the pod. `secrets`: `name/key` → value. Where each mounted path is here. */
export function mountSecrets(t: Test, template: Json, secrets: ReadonlyMap<string, string>): (path: string) => string {
  const root = mkdtempSync(join(tmpdir(), 'postrider-pod-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const volumes = array(template, 'spec.volumes').filter((each) => at(each, 'secret'))
  const places = new Map<string, string>()
  for (const mount of array(at(template, 'spec.containers.0'), 'volumeMounts')) {
    const volume = volumes.find((each) => string(each, 'name') === string(mount, 'name'))
    if (volume === undefined) continue
    const folder = join(root, string(mount, 'name'))
    mkdirSync(folder)
    const items = array(volume, 'secret.items')
    for (const item of items) {
      const value = secrets.get(`${string(volume, 'secret.secretName')}/${string(item, 'key')}`)
      if (value === undefined) throw new RangeError(`the chart makes no such Secret: ${JSON.stringify(item)}`)
      const file = join(folder, string(item, 'path'))
      writeFileSync(file, value)
      chmodSync(file, Number(at(volume, 'secret.defaultMode')))
    }
    places.set(`${string(mount, 'mountPath')}/`, `${folder}/`)
  }
  return (path) => {
    const mounted = [...places].find(([from]) => path.startsWith(from))
    return mounted === undefined ? path : mounted[1] + path.slice(mounted[0].length)
  }
}
