package record

import (
	"encoding/hex"
	"time"

	"github.com/rudderpost/rudderpost/wire"
)

// An Entry is one record: what one line says. Members that are empty are not written.
type Entry struct {
	Seq       uint64 // its number; each is one more than that before
	Time      time.Time
	Event     Event
	Principal string // who: the proven subjects
	Claim     string // LoginRefused: what was claimed, and proved to be nothing
	Transport string
	Address   string // where from
	Listener  string // the way in
	Session   string
	Command   string // as the caller wrote it
	Access    string // what the command asks for; empty: there is no such command

	Intent    uint64 // Outcome: the Seq of its Intent, where there is one
	Digest    Hash   // of the arguments
	Arguments []byte // the arguments themselves, where the log keeps them: JSON

	Result   wire.Code     // Outcome, Denied
	Duration time.Duration // Outcome, Denied
	Text     string        // what else there is to say: an error, a note

	Count        uint64 // Suppressed, Gap: how many have no record
	Torn         int    // Opened: bytes of an unfinished record that stand before this one
	MissingSince uint64 // Opened: the first number that the file should have had, and has not

	Doubt Doubtful // Opened: what the daemon could not tell, or found wrong

	Prev Hash // of the record before, and of what is torn behind it
}

// An Event says what an Entry is about.
type Event string

// The events.
const (
	Opened       Event = "opened"        // the daemon began to write, here
	Closed       Event = "closed"        // the daemon ceased to, as it should
	Intent       Event = "intent"        // a command that may change something is about to run
	Outcome      Event = "outcome"       // a command has ended
	Denied       Event = "denied"        // a command was refused, since its caller may not
	LoginRefused Event = "login-refused" // a client proved nothing, and was not let in
	Suppressed   Event = "suppressed"    // so many refusals had no record of their own
	Gap          Event = "gap"           // so many records could not be written, or not be made to last
)

// A Doubtful says what a daemon could not tell when it opened the log. It is empty where it could tell all.
type Doubtful string

// What a daemon may find. None of them is left by a kill of the daemon at any instruction, unless the file
// system has no hard links (Moved).
const (
	NoHead      Doubtful = "no-head"      // the head file was missing or unreadable
	Moved       Doubtful = "moved"        // there was no file to go on from, only the head
	Emptied     Doubtful = "emptied"      // the file had lost all its records, and the head named one
	OtherRecord Doubtful = "other-record" // the record that the head names was another one
)

// ended reports whether the event has a result and a duration.
func (e Event) ended() bool { return e == Outcome || e == Denied }

// A Hash is a SHA-256. The zero Hash is none.
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether there is none.
func (h Hash) IsZero() bool { return h == Hash{} }
