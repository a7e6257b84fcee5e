package hooks

// Process is what a test may put in the place of a process.
type Process = process

// StartWith makes a set start such processes.
func (s *Set) StartWith(start func(cfg *Config) (Process, error)) {
	s.start = func(cfg *Config, _ func(string)) (process, error) { return start(cfg) }
}
