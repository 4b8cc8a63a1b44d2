/** For how many milliseconds the overlay is shown. */
declare const shown: number;
/** The address that ends the check. */
declare const end: string;
