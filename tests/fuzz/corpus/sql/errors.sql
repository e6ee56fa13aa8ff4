SELECT E'\uD83D\uDE00', $t$a$t$, U&'x'; SELECT 1.e5 FROM a
