package upstream

import "context"

// Canceler is a context that tells one function when it ends, without the
// allocations of context.AfterFunc.
type Canceler interface {
	context.Context
	// OnCancel makes f the function to call when the context ends. If it has ended,
	// f is called at once or soon. A nil f takes it away again: when OnCancel(nil)
	// returns, the function does not run any more and never will.
	OnCancel(f func())
}
