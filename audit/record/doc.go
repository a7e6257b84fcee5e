// Package record reads and verifies the audit of a daemon: the file that package audit writes, one JSON object on each
// line. It has no code of a daemon, so that programs which only read the file can link it alone.
//
// [Open] opens a file, [Read] returns its entries, and [VerifyFiles] checks the chain of a log and returns a [Verdict].
//
// Each entry has the number after that of the entry before. Its member prev is the SHA-256 of the line of the entry
// before. If a crash has left a part of a line between the two, the hash covers that too: all bytes from the
// beginning of the entry before to the newline in front of this one. So a change, a removal or another order of
// entries breaks the chain at that place. No entry follows the last one; a [Head], in a file beside the log, says
// which entry is the last.
//
// The chain has no key. It detects accidents, and changes by a person that does not know of it. A person that can write
// both files can write another log with a valid chain. A head that was noted in another place detects that: see
// [VerifyNoted].
package record
