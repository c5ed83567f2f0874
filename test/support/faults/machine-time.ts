/** Milliseconds of a clock that never goes back, and that all processes of the machine share. */
export const machineNow = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000
