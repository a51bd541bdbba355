<?php
// What reaches the programs of the old site, for the journeys to compare.
header( 'Content-Type: application/json' );
ksort( $_SERVER );
echo json_encode( array( 'server' => $_SERVER, 'cookies' => $_COOKIE, 'body' => bin2hex( file_get_contents( 'php://input' ) ) ) );
