/** What the page asks of the server over HTTP; addresses are relative to the page. */

/** The server said no, or nothing at all (status 0); `message` is a sentence for the caller. */
export class Refusal extends Error {
	constructor(status, message) {
		super(message[0].toUpperCase() + message.slice(1));
		this.status = status;
	}
}

export async function ask(path, body, patience = 20_000) {
	const post = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
	const response = await fetch(path, { ...post, signal: AbortSignal.timeout(patience) }).catch(() => {
		throw new Refusal(0, "The server does not answer. Is story run still running?");
	});
	const answer = await response.json().catch(() => null);
	if (response.ok && answer) return answer;
	throw new Refusal(response.status, answer?.error ?? `The server answered with status ${response.status}.`);
}

export const fetchSetup = () => ask("api/setup");

/** Gives {call, secret, answer}; call and secret are the call's ticket. */
export const openCall = (offer, stacks) => ask("api/calls", { offer, stacks });

export const takeUp = ({ call, secret }, offer) => ask(`api/calls/${call}/offer`, { secret, offer }, 4000);

/** Ends a call, even while the page goes away. */
export const hangUp = ({ call, secret }) => navigator.sendBeacon(`api/calls/${call}/hang-up`, secret);
