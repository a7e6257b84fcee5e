package mgr

// Checked returns the command with its arguments checked against Args before the handler runs, as those
// of Func's commands are: for handlers that want the bytes. The manager checks nothing in a literal
// Command otherwise.
func (c Command) Checked() Command {
	s, name := c.Args, c.Name
	if s == nil {
		return c
	}
	isMap := s.Type == "object"
	c.check = func(call *Call) (any, error) {
		arguments := call.Arguments
		switch {
		case isMap && (arguments == nil || arguments.Kind() == "null"):
			arguments = emptyMap
		case arguments == nil && s.Type == "":
			return nil, nil
		}
		return nil, misfit(name, s, arguments, isMap, nil)
	}
	return c
}
