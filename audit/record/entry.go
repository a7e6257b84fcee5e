package record

import (
	"encoding/hex"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// An Entry is one record, the content of one line. Empty members are not written.
type Entry struct {
	Seq       uint64 // the number; one more than that of the record before
	Time      time.Time
	Event     Event
	Principal string // the proven subjects of the peer
	Claim     string // LoginRefused: the user name that was claimed, or "a token"
	Transport string
	Address   string // the address of the peer; empty for a UNIX socket
	Listener  string // the name of the listener
	Session   string
	Command   string // the command, as the caller wrote it
	Access    string // the level of the command; empty: the command does not exist

	Intent    uint64 // Outcome: the Seq of its Intent; 0: it has none
	Digest    Hash   // the SHA-256 of the arguments
	Arguments []byte // the arguments in JSON; nil: the log has only the digest

	Result   wire.Code     // Outcome, Denied
	Duration time.Duration // Outcome, Denied
	Text     string        // an error or a note

	Count        uint64 // Suppressed, Gap: the number of refusals or records that are missing
	Torn         int    // Opened: bytes of an incomplete record before this one
	MissingSince uint64 // Opened: the number of the first record that is missing before this one

	Doubt DoubtCode // Opened: what was wrong when the daemon opened the log

	Prev Hash // the SHA-256 of the record before with the torn bytes after it
}

// An Event is the kind of an Entry.
type Event string

// The events.
const (
	Opened       Event = "opened"        // the daemon has opened the file
	Closed       Event = "closed"        // the daemon has closed the log
	Intent       Event = "intent"        // a command that may change something is about to run
	Outcome      Event = "outcome"       // a command has ended
	Denied       Event = "denied"        // a command was refused, since its caller is not allowed to run it
	LoginRefused Event = "login-refused" // a connection was refused, mostly for a failed login
	Suppressed   Event = "suppressed"    // a number of refusals that have no record
	Gap          Event = "gap"           // a number of records that could not be written, or not be synced
)

// A DoubtCode says what was wrong when a daemon opened the log. It is empty if nothing was.
type DoubtCode string

// The doubts. A kill of the daemon leaves none of them, at any instruction, unless the file system has no hard links
// (Moved).
const (
	NoHead      DoubtCode = "no-head"      // the head file was missing or unreadable
	Moved       DoubtCode = "moved"        // there was no file with records, only the head
	Emptied     DoubtCode = "emptied"      // the file had no records, and the head named one
	OtherRecord DoubtCode = "other-record" // the head did not match the record that it names
)

// hasResult reports whether an entry of this event has a result and a duration.
func (e Event) hasResult() bool { return e == Outcome || e == Denied }

// A Hash is a SHA-256. The zero Hash means that there is none.
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the Hash is zero.
func (h Hash) IsZero() bool { return h == Hash{} }
