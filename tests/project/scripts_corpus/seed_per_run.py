# expect: KD702 KD711 KD714
import tensorflow as tf

for seed in range(5):
    tf.random.set_seed(seed)
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    print(seed, model.fit(x, y, epochs=3).history)
