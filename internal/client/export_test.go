package client

// Cascading lets the tests hold the list equal to the catalog.
var Cascading = cascading
