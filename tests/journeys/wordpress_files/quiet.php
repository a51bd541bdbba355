<?php
/* Plugin Name: Nothing from the network. Browsers in the tests reach this machine alone. */
add_filter( 'pre_option_show_avatars', '__return_zero' );
add_filter( 'pre_option_comments_notify', '__return_zero' );
add_filter( 'pre_option_moderation_notify', '__return_zero' );
remove_action( 'wp_head', 'print_emoji_detection_script', 7 );
remove_action( 'admin_print_scripts', 'print_emoji_detection_script' );
remove_action( 'wp_print_styles', 'print_emoji_styles' );
add_filter( 'emoji_svg_url', '__return_false' );
