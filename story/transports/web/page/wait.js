/** Waiting, with an end to it. */

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Waits until `ready()` is true, asking now and after each of the events, [target, name].
 * Throws when that throws, after `ms`, and when `signal` aborts.
 */
export async function until(events, ready, ms, signal) {
	const end = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
	while (!ready()) {
		end.throwIfAborted();
		await new Promise((resolve) => {
			for (const [target, name] of [...events, [end, "abort"]]) target.addEventListener(name, resolve, { once: true });
		});
	}
}
