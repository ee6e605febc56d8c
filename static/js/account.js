// What prices decide of an account is as old as they are; at a close they are meant to stand still.
const PRICED = ["portfolio_value", "day_pl", "total_pl"];
const isShut = () => document.getElementById("standing")?.dataset.market === "shut";

export const isOld = (values, name) => values.stale === true && PRICED.includes(name) && !isShut();
