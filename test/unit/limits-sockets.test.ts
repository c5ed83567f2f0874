import t from 'tap'
import { addressKey } from '../../core/limits/address-key.js'
import { openFilesLimit, shareFiles, SocketBudget } from '../../core/limits/socket-budget.js'
import { WaitingRoom } from '../../core/limits/waiting-room.js'

void t.test('waiting room: a newcomer finds room, the one that waits longest goes', async (t) => {
  const out: string[] = []
  const room = new WaitingRoom<string>(2, (guest) => out.push(guest))
  room.enter('a')
  room.enter('b')
  t.same(out, [])
  room.enter('c')
  t.same(out, ['a'])
  t.notOk(room.has('a'))
  room.leave('b')
  room.leave('b')
  room.enter('d')
  t.same(out, ['a'], 'b had left')
  room.enter('c')
  room.enter('e')
  t.same(out, ['a', 'd'], 'c had come again')
  t.equal(room.size, 2)
  t.equal(room.putOutOldest(), true)
  t.equal(room.putOutOldest(), true)
  t.equal(room.putOutOldest(), false)
})

void t.test('socket budget: the largest room makes place for a socket too many', async (t) => {
  const out: string[] = []
  const small = new WaitingRoom<string>(9, (guest) => out.push(guest))
  const large = new WaitingRoom<string>(9, (guest) => out.push(guest))
  const budget = new SocketBudget(3)
  budget.addRoom(small)
  budget.addRoom(large)
  for (const [room, guest] of [
    [small, 'a'],
    [large, 'b'],
    [large, 'c'],
  ] as const) {
    room.enter(guest)
    t.equal(budget.enter(), true)
  }
  t.equal(budget.enter(), true)
  t.same(out, ['b'])
  budget.leave()
  large.leave('c')
  small.leave('a')
  t.equal(budget.open, 3)
  t.equal(budget.enter(), false, 'nobody waits')
  budget.leave()
  budget.leave()
  t.equal(budget.enter(), true)
})

void t.test('socket budget: what the limit of open files leaves for whom', async (t) => {
  t.ok((openFilesLimit() ?? 0) > 0, 'the limit of this process')
  t.equal(
    openFilesLimit(() => 'Max cpu time  unlimited\nMax open files            20000   20000   files \n'),
    20_000,
  )
  t.equal(
    openFilesLimit(() => 'Max open files            unlimited   unlimited   files \n'),
    null,
  )
  t.equal(
    openFilesLimit(() => {
      throw new Error('ENOENT')
    }),
    null,
  )
  t.same(shareFiles(null), { sockets: Infinity, devices: Infinity })
  for (const files of [64, 256, 1_024, 20_000, 1_048_576]) {
    const { sockets, devices } = shareFiles(files)
    t.ok(devices > files / 3 && devices < sockets && sockets < files, `${files}: ${sockets}, ${devices}`)
  }
  t.ok(shareFiles(20_000).devices >= 19_000)
})

void t.test('address key: IPv4 by address, IPv6 by network', async (t) => {
  t.equal(addressKey('10.1.2.3'), '10.1.2.3')
  t.equal(addressKey('::ffff:10.1.2.3'), '10.1.2.3')
  t.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:DB8:1:0002::9'), '2001:db8:1:2::/64')
  t.equal(addressKey('2001:db8::1'), '2001:db8:0:0::/64')
  t.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(addressKey('::1'), '0:0:0:0::/64')
  t.equal(addressKey('1::2:3:4:5:6:7'), '1:0:2:3::/64')
  t.equal(addressKey('64:ff9b::10.0.0.1'), '64:ff9b:0:0::/64')
  t.equal(addressKey(''), '')
})
