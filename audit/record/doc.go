// Package record reads the record of who did what: the file that package audit writes, one JSON object
// on each line. It knows nothing of daemons, so that programs which only read need none.
//
// Each record has the number after that of the record before, and as its member prev the SHA-256 of
// that record's line. If unfinished records stand between the two, left by a crash, the hash is of all
// of it: from the beginning of the record before to the newline in front of this one. So a log cannot be
// changed, cut or put in another order without leaving a place where it does not fit. Its end has
// nothing behind it; a [Head], in a file beside the log, says which record was the last.
//
// A chain without a key stops whoever does not know of it, and accidents. Who may write both files can
// write another log that fits; against him helps a head that was noted elsewhere.
package record
