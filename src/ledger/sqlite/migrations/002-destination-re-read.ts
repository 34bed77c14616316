/** Objects whose destination alone was read again are counted apart (block.ts, EVIDENCES). */
export const destinationReRead = `
ALTER TABLE tasks ADD COLUMN evidence4 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tallies ADD COLUMN evidence4 INTEGER NOT NULL DEFAULT 0;
`;
