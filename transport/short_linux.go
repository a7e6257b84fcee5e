package transport

// shortIsAll says that a read which does not fill its buffer has taken all that had come, and that what comes
// later is told of: epoll(7), question 9.
const shortIsAll = true
