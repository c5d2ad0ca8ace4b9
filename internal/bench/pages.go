package main

import "context"

func (b *bench) pages(ctx context.Context) error { return nil }
