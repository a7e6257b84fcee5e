package hooks

import "github.com/rudderpost/rudderpost/transport"

// An osProcess is a process that was started. Write writes to its stdin, and Read reads its stdout.
type osProcess interface {
	transport.ByteStream
	Pid() int

	// CloseInput closes its stdin.
	CloseInput()

	// Terminate sends SIGTERM to its process group, and Kill SIGKILL.
	Terminate()
	Kill()

	// Exited returns a channel that is closed when the process has ended. HowItEnded blocks until then, and returns the
	// exit status and the last line of stderr.
	Exited() <-chan struct{}
	HowItEnded() string

	// AwaitEnd blocks until the process has ended and its goroutines too.
	AwaitEnd()
}

// A starter starts the process of a configuration. It calls stderr for each line of its stderr; stderr may block.
type starter func(cfg *Config, stderr func(line string)) (osProcess, error)
