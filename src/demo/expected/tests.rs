use domain::contribution::Figure;

use super::*;

#[test]
fn the_figures_add_up() {
    for (expected, campaign) in expected(42).iter().zip(CAMPAIGNS) {
        let figure = |figure| expected.figures.get(figure);
        let count = |moment| i64::try_from(expected.count(moment)).expect("it is small");
        assert_eq!(expected.campaign, campaign.key);
        assert_eq!(figure(Figure::Recipients), i64::from(campaign.size));
        assert_eq!(count(Moment::Opened), figure(Figure::Opened));
        assert_eq!(count(Moment::Clicked), figure(Figure::Clicked));
        assert_eq!(figure(Figure::Ready) + figure(Figure::Canceled), 0);
        assert!(count(Moment::Delivered) < count(Moment::Sent));
        // Scanners that give themselves away only by their haste are found out.
        assert!(figure(Figure::MachineClicked) * 1_000 > 20 * i64::from(campaign.size));
        assert!(figure(Figure::Clicked) * 100 < 9 * i64::from(campaign.size));
        assert!(figure(Figure::Blocked) > 0 && figure(Figure::HardBounced) > 0 && figure(Figure::SoftBounced) > 0);
    }
}

#[test]
fn a_seed_gives_the_same_figures() {
    assert_eq!(expected_of(&CAMPAIGNS[2], 1, 1), expected_of(&CAMPAIGNS[2], 1, 1));
    assert_ne!(expected_of(&CAMPAIGNS[2], 1, 1), expected_of(&CAMPAIGNS[2], 2, 1));
}
