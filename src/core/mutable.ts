/** While it is made: spreading what may be absent costs more than setting it where it is there. */
export type Mutable<T> = { -readonly [P in keyof T]: T[P] };
