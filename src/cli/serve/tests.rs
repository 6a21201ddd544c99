use super::*;

#[tokio::test]
async fn the_end_of_a_background_task_is_told_by_name() {
    let mut background = Background::new();
    background.spawn("steady", std::future::pending());
    background.spawn("doomed", async { panic!("on purpose") });

    let failure = background.failure().await;

    assert_eq!(failure.to_string(), "background task failed: doomed");
}
