/** How times, names and values are written. */

/** Seconds as on a clock: 1:05 */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Seconds as a latency: 0.62 s */
export const latency = (seconds) => `${seconds.toFixed(2)} s`;

export const spaced = (name) => name.replaceAll("_", " ");

/** An object as "name: Ada, location: Bristol" */
export const pairs = (values) =>
	Object.entries(values ?? {})
		.map(([name, value]) => `${spaced(name)}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
		.join(", ");

/** Names personas by key. Two may bear one name (the storyteller's do), so then the key goes with it. */
export const naming = (personas) => (key) => {
	const name = personas.find((persona) => persona.key === key)?.name ?? "Agent";
	return personas.filter((persona) => persona.name === name).length > 1 ? `${name} (${key})` : name;
};
