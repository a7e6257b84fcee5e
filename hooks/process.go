package hooks

import "github.com/rudderpost/rudderpost/transport"

// A process is one that has been started. What is written to it is its stdin, what is read its stdout.
type process interface {
	transport.ByteStream
	Pid() int

	// CloseInput ends its stdin.
	CloseInput()

	// Terminate asks it, and its group, to end. Kill does not ask.
	Terminate()
	Kill()

	// Exited is closed when it has ended. HowItEnded says then how, with its last words.
	Exited() <-chan struct{}
	HowItEnded() string

	// AwaitEnd waits until it has ended, and nothing is left of it here.
	AwaitEnd()
}

// A starter starts the process of a configuration. stderr gets each line of its stderr, and may be slow.
type starter func(cfg *Config, stderr func(line string)) (process, error)
